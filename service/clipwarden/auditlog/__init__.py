"""The audit log: what was judged into JSON lines, lines into typed records, and whether they are all there, unchanged.

A log is any number of files, in which every line is one JSON object, ASCII only, ended by a newline:

    {"schema":"clipwarden.audit/1","record":KIND,"time":...,...,"process":P,"seq":N,"hash":H}

`records` says which kinds there are and what they hold. Readers leave out keys that they do not know, and take a schema
of another number for one they cannot read: keys may be added to a schema, none is renamed or changes its meaning. A
number is the shortest decimal that reads back as the very same float64.

P is a process's own, 16 hexadecimal digits; N counts its lines from 0. H is there when lines are chained, always last:
the SHA-256, as 64 hexadecimal digits, of the 64 digits before it in the chain and then the line's own bytes up to but
without `,"hash":`. Before a process's first line stand the digits of the last line that it found in its file (the
line's `follows` names it), or 64 zeros.
"""
