"""What `toolkit doctor` looks at, one file per section. Needs the base install alone, and imports nothing heavy.

What may fail, hang or end the process, importing a package above all, happens in a process of its own: `probe` asks,
`child` answers.
"""
