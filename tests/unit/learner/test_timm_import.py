"""timm comes without torch's compiler, which is there all the same as soon as somebody wants it."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    "module", ["learner.inference.propose", "learner.evaluation.evaluate", "learner.training.train"]
)
def test_no_compiler_is_imported(module):
    assert run(f"import {module}, sys; print('torch._dynamo' in sys.modules, 'sympy' in sys.modules)") == ["False"] * 2


@pytest.mark.thorough
def test_the_compiler_is_there_when_it_is_wanted():
    assert run(
        """
        from learner.timm_import import timm
        import torch, torchvision.ops
        print("_dynamo" in vars(torch))
        print(tuple(torchvision.ops.roi_align(torch.rand(1, 3, 8, 8), torch.tensor([[0, 0, 0, 4, 4.0]]), 2).shape) ==
              (1, 3, 2, 2))
        model = timm.create_model("test_resnet").eval()
        image = torch.rand(1, 3, 64, 64)
        print(torch.allclose(torch.compile(model, backend="eager")(image), model(image)))
        print(torch._dynamo.utils.is_compile_supported.__module__)
        """
    ) == ["False", "True", "True", "torch._dynamo.utils"]


@pytest.mark.thorough
def test_a_library_that_asks_for_more_gets_the_compiler_itself():
    assert run(
        """
        import sys
        import learner.timm_import as ours
        ours._stand_in()
        from torch._dynamo.utils import counters
        from torch._dynamo import explain, disable
        print(counters is sys.modules["torch._dynamo.utils"].counters, explain.__module__.split(".")[1])
        print(disable.__module__)
        """
    ) == ["True", "_dynamo", "torch._dynamo.decorators"]


@pytest.mark.thorough
def test_a_function_is_kept_from_being_compiled():
    assert run(
        """
        import learner.timm_import as ours
        @ours._disable
        def f(x):
            return x + 1
        @ours._disable(recursive=False)
        def g(x):
            return x + 2
        import torch
        print(int(f(torch.tensor(1))), int(g(torch.tensor(1))))
        seen = []
        def backend(module, _):
            seen.append(module)
            return module.forward
        print(int(torch.compile(lambda x: g(f(x)), backend=backend)(torch.tensor(1))), len(seen))
        """
    ) == ["2", "3", "4", "0"]


def test_every_model_of_timm_is_known_without_it():
    assert run(
        """
        import sys
        from learner.early_checks import timm_names
        names = timm_names()
        print("timm" in sys.modules)
        from learner.timm_import import timm
        from timm.models import _registry
        print(set(timm.list_models()) | set(_registry._deprecated_models) <= names)
        """
    ) == ["False", "True"]


@pytest.mark.thorough
def test_a_step_of_training_needs_no_compiler_and_is_torchs_own():
    assert run(
        """
        import copy, sys, torch
        from learner.config import make_config
        from learner.network.build import build_model
        from learner.training.state import make_optimizer

        def train(model, optimizer):
            for _ in range(3):
                model(image).mask_logits_B1HW.square().mean().backward()
                optimizer.step()
                optimizer.zero_grad()
            optimizer.load_state_dict(optimizer.state_dict())

        torch.manual_seed(0)
        image = torch.rand(2, 3, 64, 64)
        pairs = []
        for kind, theirs in (("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)):
            tiny = {"encoder": "test_resnet", "size": 64, "weights": "none"}
            config = make_config("default", {**tiny, "optimizer": kind})
            model = build_model(config, 2)
            other = copy.deepcopy(model)
            train(model, make_optimizer(model, config))
            pairs.append((model, other, theirs, config.weight_decay if kind == "adamw" else 0.0))
        print("torch._dynamo" in sys.modules)
        for model, other, theirs, decay in pairs:
            train(other, theirs(other.parameters(), lr=config.lr, weight_decay=decay, fused=True))
            print(all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters())))
        """
    ) == ["False", "True", "True"]


def test_builds_that_do_not_fit_each_other_are_named_with_the_remedy(tmp_path):
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    assert run(
        f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from learner.errors import TorchMismatched
        try:
            import learner.timm_import
        except TorchMismatched as exc:
            print("Install both from one index" in str(exc))
        """
    ) == ["True"]
