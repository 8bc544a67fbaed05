"""`python -m hauser_dlt` is `hauser-dlt`."""

from hauser_dlt.cli import main

if __name__ == "__main__":
    main()
