from .protocol import ENGINES as ENGINES
from .protocol import OpenPdf as OpenPdf
from .protocol import PdfEngine as PdfEngine
from .protocol import RawPage as RawPage
from .protocol import RawWord as RawWord
from .protocol import load_engine as load_engine
