"""RTMPose-t, 256x192, SimCC: learns PP-TinyPose's keypoints, corrected by true joints; small crops first."""

task = "pose"
model = "rtmpose-t"
# The network itself is mmpose's rtmpose-t_8xb256-420e_aic-coco-256x192, by its name above.
seed = 0
data = {
    "hold_out_every": 25,
    "shares": {"scenes": 4.0},
    "augmentation": {"rotation": 40.0, "scale": 1.35, "shift": 0.1, "half_body": 0.2, "colours": 1.0},
}

phases = [
    {
        "name": "small",
        "schedule": {
            "steps": 6000,
            "lr": 1e-3,
            "warmup": 100,
            "decay": 0.25,
            "weight_decay": 0.05,
            "ema": 0.998,
        },
        "options": {"batch_size": 16, "shrink": 2},
        "validate_every": 500,
    },
    {
        "name": "full",
        "schedule": {
            "steps": 1500,
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
