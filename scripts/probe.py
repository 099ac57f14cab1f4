from spanloc.cli.probe import main

if __name__ == "__main__":
    main()
