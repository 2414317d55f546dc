"""From masks to measurements a physician can check by hand: volume, diameter, shape, intensity, texture.

Knows the volume type and nothing else of the project. Start at :func:`semeion.measure.region.measure_region`, whose
names are explained in :data:`semeion.measure.definitions.DEFINITIONS`. Shape, intensity and texture follow the image
biomarker standardisation initiative (IBSI: Zwanenburg et al., Radiology 295:328, 2020; reference manual
arXiv:1612.07003) and give the values it published for its digital phantom.
"""
