from .reader import read as read
