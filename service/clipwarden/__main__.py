"""`python -m clipwarden` is `clipwarden`."""

from clipwarden.cli.main import main

if __name__ == "__main__":
    main()
