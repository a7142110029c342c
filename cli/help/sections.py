"""What stands where in the help: commands by the step of the loop, options by purpose, and examples.

A command or an option that is not named here stands in a section of its own at the end of the page; a test names those.
"""

COMMANDS: dict[str, tuple[str, ...]] = {
    "Start": ("init", "import", "split", "demo"),
    "Inspect": ("status", "next", "list", "show", "doctor", "dashboard"),
    "Train and evaluate": ("train", "runs", "evaluate", "report", "explain", "settings"),
    "Propose and choose what to ask about": ("propose", "query"),
    "Review in Label Studio": ("studio", "connect", "open", "push", "pull", "serve", "review", "journal"),
    "The whole loop": ("round", "rounds", "plan"),
    "Use the results": ("predict", "export", "model"),
    "Correct and trace changes": ("set", "remove", "undo", "retract", "log", "snapshots", "diff"),
    "Experiment": ("bench", "simulate"),
    "Maintain": ("db", "cache"),
}
"""Commands of `partly --help`, by the step of the loop."""

COMMON = ("--project", "--db", "--json", "--quiet", "--help")
"""Options that every command takes."""

SETTINGS = ("--preset", "--weights", "--set", "--config")
MACHINES = ("--devices", "--num-nodes")
CERTIFIED = ("--tau", "--precision", "--confidence", "--gate")
SHARES = ("--confirm-share", "--draw-share", "--audit-share")

OPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "import": {
        "Reading the data set": (
            "--layout", "--images", "--group-by", "--origin", "--boxes-as", "--class-from", "--mask-background",
        ),
        "Trials with fewer locations": ("--keep-locations", "--seed"),
        "Checks": ("--force", "--strict", "--change-test"),
    },
    "list": {
        "Which images": (
            "--class", "--split", "--supervision", "--located", "--reviewer", "--near-duplicates", "--limit",
        ),
        "By pending proposal": ("--proposed", "--run", "--min-score", "--max-score"),
        "Output format": ("--csv", "--paths", "--print0"),
    },
    "doctor": {
        "What to check": ("--verify", "--label-studio", "--strict"),
        "Probable label errors": ("--labels", "--folds", "--set", "--ask"),
    },
    "export": {
        "Which labels": ("--snapshot", "--split", "--unlabeled", "--proposals"),
        "Output format": ("--format", "--images", "--spreadsheet-safe"),
    },
    "train": {"Settings": SETTINGS, "Several GPUs or machines": MACHINES},
    "evaluate": {"What to score": ("--run", "--split", "--data", "--layout"), "Several GPUs or machines": MACHINES},
    "explain": {
        "What to explain": ("--run", "--split", "--image", "--target", "--layer", "--list-layers"),
        "Output": ("--limit", "--out"),
    },
    "propose": {
        "Which proposals": ("--run", *CERTIFIED, "--budget"),
        "Output": ("--picture",),
        "Several GPUs or machines": MACHINES,
    },
    "query": {
        "What to ask about": ("--strategy", "--strategies", "--budget", *SHARES, "--seed"),
        "Proposals to confirm": ("--run", *CERTIFIED),
        "Several GPUs or machines": MACHINES,
    },
    "connect": {
        "Which project": ("--title", "--project-id", "--adopt"),
        "What annotators see": ("--masks", "--show-score"),
    },
    "push": {
        "Which images": ("--proposals", "--query", "--partly", "--all", "--limit"),
        "Make a query first": ("--strategy", "--budget", "--query-shares"),
        "Checks on reviewers": ("--control-share", "--second-share", "--catch-share", "--audit-share"),
        "What tasks contain": ("--known", "--ask-class", "--outlines", "--recreate"),
    },
    "pull": {
        "How reviews are read": ("--resolve", "--empty", "--full", "--change-test"),
        "Keep pulling": ("--follow", "--every", "--webhook-port", "--webhook-url"),
    },
    "serve": {
        "Which proposals": ("--run", *CERTIFIED),
        "Where it listens": ("--host", "--port", "--allow-host"),
        "Label Studio": ("--attach", "--url"),
    },
    "round": {
        "Training": (*SETTINGS, "--warm", "--fresh"),
        "Proposals": (*CERTIFIED, "--budget"),
        "Query instead of proposals": ("--strategy", "--query-shares"),
        "Label Studio": ("--limit", "--audit-share", "--ask-class", "--resolve"),
    },
    "bench": {
        "Size of the experiment": ("--epochs", "--size", "--seeds", "--folds"),
        "Settings": SETTINGS,
    },
    "simulate": {
        "Data": ("--data", "--layout", "--out"),
        "Loop": ("--strategy", "--rounds", "--budget", "--start", "--seeds", "--tau", "--warm", *SHARES),
        "Reviewer": ("--accept-s", "--edit-s", "--draw-s", "--nothing-s", "--wrong-accepts", "--misses"),
        "Training": (*SETTINGS, "--jobs"),
    },
    "retract": {
        "Which labels": ("--run", "--reviewer", "--since"),
        "Undo a retraction": ("--undo", "--list"),
    },
    "settings": {"Values that a training run would have": SETTINGS},
}  # fmt: skip
"""Options of the commands that have many, by purpose."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "": ("partly init breast && cd breast", "partly import ../images", "partly next"),
    "init": ("partly init breast",),
    "import": (
        "partly import ../images",
        "partly import ../export/annotations.json --layout coco --images ../images",
        "partly import ../images --group-by 'patient(\\d+)' --dry-run",
    ),
    "status": ("partly status --json",),
    "split": ("partly split --val 0.15 --test 0.15",),
    "list": (
        "partly list --class malignant --unlocated",
        "partly list --proposed --min-score 0.9 --csv > sure.csv",
        "partly list --proposed --print0 | xargs -0 cp -t DIR",
    ),
    "show": ("partly show 17 case-042.png --out two.png",),
    "doctor": ("partly doctor --verify", "partly doctor --labels --ask"),
    "remove": ("partly remove 17 18 --dry-run",),
    "set": ("partly set 17 --class malignant", "partly set case-042.png --group patient-9"),
    "export": ("partly export ../labels --format coco", "partly export ../labels --format csv --images none"),
    "train": (
        "partly train --dry-run",
        "partly train --set size=128 --set epochs=20",
        "partly train --resume",
    ),
    "evaluate": ("partly evaluate", "partly evaluate --run run-3 --data ../others"),
    "report": ("partly report --run run-3 --against run-2", "partly report --rounds"),
    "explain": ("partly explain --image 17 --target lesion",),
    "settings": ("partly settings size", "partly settings --preset paper --set epochs=20"),
    "propose": ("partly propose --tau 0.8 --picture proposals.png", "partly propose --tau auto --precision 0.9"),
    "predict": ("partly predict ../others found.csv", "partly predict a.png b.png found.json --format coco"),
    "model export": (
        "partly model export lesions.onnx",
        "partly model export m.pt --format torchscript --run run-3",
    ),
    "query": ("partly query --strategies", "partly query --budget 50 --dry-run"),
    "bench": ("partly bench overview --seeds 1 --set size=128 --dry-run",),
    "simulate": ("partly simulate --data ../labeled --strategy typical --rounds 5 --budget 30",),
    "connect": ("partly connect", "partly connect https://labels.example.org --title breast"),
    "open": ("partly open", "partly open --no-browser"),
    "push": ("partly push --dry-run", "partly push --partly --limit 50", "partly push --control-share 0.1"),
    "pull": ("partly pull", "partly pull --resolve majority", "partly pull --follow --every 60"),
    "serve": ("partly serve --attach",),
    "round": ("partly round --set size=128", "partly round --strategy typical --budget 50"),
    "plan": ("partly plan --boxes 50", "partly plan --target-iou 0.8"),
    "log": ("partly log 17",),
    "snapshots": ("partly snapshots --take",),
    "diff": ("partly diff 3f9c2a41b07e 8d51e6c09f23",),
    "undo": ("partly undo --list", "partly undo 4 --dry-run"),
    "retract": ("partly retract --run run-3 --dry-run", "partly retract --reviewer anna --since 2026-11-23"),
    "demo": ("partly demo", "partly demo --data ../images --out trial"),
    "studio start": ("partly studio start --port 8090",),
    "db backup": ("partly db backup ../registry-backup.sqlite3",),
    "db restore": ("partly --project new db restore ../registry-backup.sqlite3",),
    "cache clear": ("partly cache clear framed --dry-run",),
    "cache limit": ("partly cache limit 50GB",),
}
"""What is typed, by command; "" is `partly` itself."""
