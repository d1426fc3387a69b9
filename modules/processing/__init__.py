"""From a request to pictures: named stages around the model and the sampler."""
