"""
What was found, in the forms that other programs read: one file per form.
"""
