"""What a training, an evaluation or a proposal run can refuse.

LearnerError
├── ConfigInvalid             an unknown setting, or one out of range (exit code 2)
│   └── SettingUnknown        a setting that there is none of
├── DataInvalid               the registered data cannot be trained on or scored
│   └── ImagesMissing         there is no image to train on
├── WeightsUnavailable        pretrained weights that cannot be had, or do not fit
├── CheckpointIncompatible    a checkpoint that is missing, damaged or from another configuration
├── CheckpointNotSaved        there is no space for a checkpoint, or no permission to write it
├── RunInUse                  a run that another process is training
├── TrainingDiverged          a loss that is not finite; nothing was stepped on it
├── OutOfMemory               a batch that the device's memory does not hold
├── CheckUnavailable          a check that needs a package which is not installed
├── StrategyUnknown           a query strategy that there is none of (exit code 2)
├── StrategyUnusable          a query strategy that lacks what it chooses by: a model, features, its own package
├── TorchMismatched           torch and torchvision come from different builds
├── ExportUnavailable         a format that needs packages which are not installed
├── ExportFailed              an exported model that cannot be made, or does not say what its network says
└── CompilationFailed         torch.compile does not work on this machine
"""


class LearnerError(Exception):
    """Root of everything the learner raises on purpose."""


class ConfigInvalid(LearnerError):
    """An unknown setting, or one out of range; the message lists all of them."""


class SettingUnknown(ConfigInvalid):
    """There is no setting with this name; the message names the closest one."""


class DataInvalid(LearnerError):
    """The registered data cannot be trained on or scored; the message says what is missing."""


class ImagesMissing(DataInvalid):
    """There is no image to train on; `partly import` registers some."""


class WeightsUnavailable(LearnerError):
    """Pretrained weights are unavailable, or do not fit the encoder."""


class CheckpointIncompatible(LearnerError):
    """A checkpoint is missing, damaged or from another configuration."""


class CheckpointNotSaved(LearnerError):
    """A checkpoint could not be written; the previous one is unchanged."""


class RunInUse(LearnerError):
    """Another process is training this run; the message names it, and says what to do."""


class TrainingDiverged(LearnerError):
    """The loss is not finite; the step was not taken."""


class OutOfMemory(LearnerError):
    """A batch does not fit into the device's memory; the message names a smaller one."""


class CompilationFailed(LearnerError):
    """torch.compile does not work on this machine, or for this network."""


class StrategyUnknown(LearnerError):
    """There is no query strategy with this name; the message lists the existing ones."""


class StrategyUnusable(LearnerError):
    """A query strategy lacks what it needs: a model, features, or the package it comes with."""


class CheckUnavailable(LearnerError):
    """A check needs a package that is not installed; the message names it."""


class TorchMismatched(LearnerError):
    """torch and torchvision come from different builds; the message says how to fix it."""


class ExportUnavailable(LearnerError):
    """A format needs packages that are not installed; the message names them and the command to type."""


class ExportFailed(LearnerError):
    """A model cannot be exported, or does not agree with its network; nothing was written."""
