from .answer_picture import draw_answer as draw_answer
from .evidence_page import draw_evidence_page as draw_evidence_page
from .regions_picture import draw_regions as draw_regions
from .regions_picture import render_page as render_page
from .zoom_path import ZoomStep as ZoomStep
from .zoom_path import zoom_steps as zoom_steps
from .zoom_picture import draw_zoom as draw_zoom
