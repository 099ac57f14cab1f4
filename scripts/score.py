from spanloc.cli.score import main

if __name__ == "__main__":
    main()
