"""Images: reading them, where they come from, how they are kept, and how they are shown.

The modules at this level are the users' doors; the rooms below hold what is behind them.
"""
