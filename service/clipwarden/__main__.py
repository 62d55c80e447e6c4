"""`python -m clipwarden` is `clipwarden`."""

from clipwarden.cli.start import main

if __name__ == "__main__":
    main()
