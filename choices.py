"""What a user may choose from, as plain data: parsers are built from it before Keras or NumPy is loaded."""

SCALES = (2, 3, 4, 8)
MODEL_SCALES = (1, 2, 3, 4, 8)  # of models: 1 restores an image at its own size
USUAL_SCALES = (2, 3, 4)  # those that are made where none is named
DOWNGRADES = ("bicubic", "unknown", "mild", "difficult", "wild", "bicubic_jpeg_90")  # examples: any folder is one
DEGRADATIONS = ("photo", "photo2")  # how low-resolution images can be made of high-resolution ones on the fly
LOSSES = ("mae", "mse", "charbonnier", "fourier")
OPTIMIZERS = ("adam", "adamw", "lamb")
SCHEDULES = ("step", "cosine")
CONTENT_LOSSES = ("vgg54", "vgg22")
PAIRINGS = ("name", "order")  # of images in high and in low resolution
BORDER_MODES = ("symmetric", "replicate")  # of bicubic interpolation: newer MATLAB, older MATLAB
WDSR_PADDINGS = ("symmetric", "same")
GENERATORS = ("edsr-gen", "sr-resnet")  # networks that end in tanh, as generators of SRGAN do
NETWORK_SCALES = {"sr-resnet": (4,)}  # of the networks that are not for every scale
TRAINING_PRECISIONS = ("float32", "bfloat16", "float16")
INFERENCE_PRECISIONS = ("float32", "bfloat16", "float16")
ENGINES = ("auto", "keras", "openvino")  # what computes a network for images
FOREIGN_SUFFIXES = (".safetensors", ".pt", ".pth", ".h5", ".hdf5")  # PyTorch's weights, and Keras files
MODEL_SUFFIXES = (".keras", *FOREIGN_SUFFIXES)
METRICS_ON_REQUEST = ("ssim", "vgg54", "lpips", "dists")  # by an option of their name; all others always
DATA_ON_DEVICE = ("auto", "yes", "no")
JIT_COMPILE = ("auto", "yes", "no")
TABLES = ("text", "markdown", "latex", "csv")
CHANNELS = ("rgb", "y")
# How images are compared: the channels, the pixels of border removed (a number, scale or scale+N), and whether the
# output is rounded to whole numbers.
PROTOCOLS = {
    "original": {"channels": "rgb", "border": "0", "rounded": False},
    "div2k": {"channels": "rgb", "border": "scale+6", "rounded": True},
    "benchmark": {"channels": "y", "border": "scale", "rounded": True},
    "ntire": {"channels": "rgb", "border": "scale", "rounded": True},
}
