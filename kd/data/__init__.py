"""Image sources, splits, the device-resident store and whole-batch augmentation."""
