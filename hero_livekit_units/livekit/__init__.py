"""What only LiveKit needs: keys and tokens, the files of its programs, counting calls, provisioning.

Everything here knows LiveKit or the programs around it; nothing here decides what is to be done with them.
"""
