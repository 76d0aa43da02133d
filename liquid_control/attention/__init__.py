"""Where a policy looks: saliency maps (torch), their overlays and comparison (numpy, OpenCV).

Modules are imported one by one, so that drawing an overlay needs no torch.
"""
