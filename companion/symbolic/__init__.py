"""The derivations of the chapters as sympy objects, one module a paper, the shared ones in `common`; they need ``math``."""
