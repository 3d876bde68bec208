raise RuntimeError("the model is not there")
