"""`--on ssh://HOST`: what a command does is done on another machine, over the system's own ssh.

address.py says which machine, ssh.py holds the connection and trouble.py makes sense of what ssh says; device.py finds
the toolkit there; work.py is the folder in which it works, scripts.py what runs in it, archive.py carries folders,
patience.py takes a lost connection up again; session.py is all of it. build.py and bench.py are commands, as straight
functions of that.
"""
