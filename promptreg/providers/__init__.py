"""One model API per file. A provider turns a Call into a Completion or a Failure, once; it never retries and never raises for
what the far side did. It knows no suite, no case and no price."""
