"""People in a picture from one ONNX file, without pose_utils: python fused_onnx.py FILE.onnx PICTURE."""

import sys

import cv2
import onnxruntime

model, picture = sys.argv[1:3]
onnxruntime.set_default_logger_severity(3)  # it remarks on inputs that have defaults
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
frame = cv2.imread(picture)[None]  # uint8 (1, height, width, 3), BGR, of any size
boxes, box_scores, keypoints, scores = session.run(None, {"frame": frame})
for box, score, points in zip(boxes, box_scores, keypoints, strict=True):
    print(f"person {score:.2f} at {box.round().tolist()}, nose at {points[0].round(1).tolist()}")
