"""RTMPose-t, 256x192, SimCC: learns PP-TinyPose's keypoints, corrected by true joints; small crops first."""

task = "pose"
model = "rtmpose-t"
# The network itself is mmpose's rtmpose-t_8xb256-420e_aic-coco-256x192, by its name above.
seed = 0
data = {
    "hold_out_every": 25,
    "shares": {"scenes": 4.0},
    "augmentation": {"rotation": 20.0, "scale": 1.3, "shift": 0.08, "half_body": 0.15, "colours": 0.7},
}

phases = [
    {
        "name": "small",
        "schedule": {
            "steps": 5000,
            "lr": 1e-3,
            "warmup": 100,
            "decay": 0.05,
            "weight_decay": 0.05,
            "ema": 0.998,
        },
        "options": {"batch_size": 16, "shrink": 2},
        "validate_every": 500,
    },
    {
        "name": "full",
        "schedule": {
            "steps": 12500,
            "lr": 1e-3,
            "warmup": 30,
            "decay": 0.6,
            "weight_decay": 0.05,
            "ema": 0.998,
        },
        "options": {"batch_size": 16, "shrink": 1},
        "validate_every": 250,
    },
]
