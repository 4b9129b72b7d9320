"""Objects followed through a clip, a file for each role.

`session`: what a user holds; `prompts`: what was asked for, and when; `frames`: frames as the network reads them;
`memory`: what is kept of each object; `references`: the annotated frames in it; `propagation`: the model's calls;
`step`: one frame; `merging`: whose a pixel is; `inference_mode`: in what surroundings the model computes; `lock`: one
iterator at a time; `state`: the memory of a stream in a file.
"""
