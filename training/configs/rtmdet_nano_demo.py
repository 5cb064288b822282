"""RTMDet-nano, 320x320, persons: learns from the released one on scenes, sports pictures and mosaics."""

task = "detector"
model = "rtmdet-nano"
# The network itself is mmpose's demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py, by its name above.
teacher = "rtmdet-nano.pth"
seed = 0
data = {"hold_out_every": 25}

phases = [
    {
        "name": "parts",
        "schedule": {
            "steps": 3000,
            "lr": 2e-3,
            "warmup": 100,
            "decay": 0.3,
            "weight_decay": 0.01,
            "ema": 0.998,
        },
        "options": {"batch_size": 4, "forced": True, "sides": (128, 160)},
        "validate_every": 1000,
    },
    {
        "name": "whole",
        "schedule": {
            "steps": 8200,
            "lr": 1e-3,
            "warmup": 30,
            "decay": 0.6,
            "weight_decay": 0.01,
            "ema": 0.998,
        },
        "options": {"batch_size": 8, "forced": False, "sides": (192, 256, 320)},
        "validate_every": 200,
    },
]
