"""The conformance suite of unimodule: does a backend compute what the declared semantics say?

Start with ``specs`` (what a case is), then ``checks`` (what is asked of a backend) and ``oracle`` (how it is judged);
``running`` draws cases and spends the time, ``reports`` tells the result, ``divergences`` lists what is known to differ
natively, and ``faults`` proves that the suite would notice. It uses unimodule's public API only.
"""
