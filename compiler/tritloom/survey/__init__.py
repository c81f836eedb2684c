"""What a model is, before it is compiled: `tritloom inspect`. One function, `survey`."""

from .model import Refused, Survey, survey

__all__ = ["Refused", "Survey", "survey"]
