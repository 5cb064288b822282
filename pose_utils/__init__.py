"""RTMDet + RTMPose at the edge: which runtime and precision, at what cost, and when it fails."""

__version__ = "0.1.0"
