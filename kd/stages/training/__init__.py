"""What training, distillation and the trials of a search share: data and model in, measured weights out."""
