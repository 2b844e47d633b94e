"""The pages for the staff: a file for each, in one frame.

They show what `views` say and act through `deeds`; nothing here reads the store or decides.
"""
