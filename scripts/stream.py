"""Spans of a recording as if it came in live: each as soon as it is final, and how long that took.

python scripts/stream.py RUN recording.wav            as fast as the machine can
python scripts/stream.py RUN recording.wav --live     as fast as it was recorded
"""

import argparse
import sys
import time

import spanloc
from spanloc.data.inputs import in_order, open_recording
from spanloc.inference.streaming import Stream


def main() -> None:
    """Read the recording in chunks and print what is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="a run folder, or its best.ckpt")
    parser.add_argument("recording", help="at the rate and with the channels of training")
    parser.add_argument(
        "--rate", type=float, help="steps per second, where the file does not say it"
    )
    parser.add_argument("--chunk", type=float, default=0.5, help="seconds that come at once")
    parser.add_argument("--min-score", type=float, default=0.2)
    parser.add_argument(
        "--longest", type=float, help="longest span in seconds: less, and all come sooner"
    )
    parser.add_argument(
        "--live", action="store_true", help="wait for each chunk as long as it lasts"
    )
    options = parser.parse_args()
    try:
        task = spanloc.load(options.checkpoint)
        signal = open_recording(options.recording, task.input, rate=options.rate)
        if task.input is not None:
            signal, _ = in_order(signal, task.input)
        rate = signal.rate or task.rate or 1.0
        stream = Stream(task, rate, min_score=options.min_score, longest=options.longest)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"You get a span at most {stream.delay:.1f} s after it ends (later if others overlap it)")
    size, busy = max(1, round(options.chunk * rate)), 0.0
    for first in range(0, signal.num_steps, size):
        values = signal.read(first, min(first + size, signal.num_steps))
        begin = time.perf_counter()
        found = stream.push(values)
        taken = time.perf_counter() - begin
        busy += taken
        show(found, stream.seconds)
        if options.live:
            time.sleep(max(0.0, options.chunk - taken))
    begin = time.perf_counter()
    found = stream.finish()
    busy += time.perf_counter() - begin
    show(found, stream.seconds)
    print(
        f"{stream.seconds:.1f} s of recording in {busy:.2f} s: {stream.seconds / busy:.0f} x real time"
    )


def show(found: spanloc.structures.Predictions, now: float) -> None:
    """Print spans in the order of time, and at which moment of the recording they came."""
    for row in found.to_pandas().sort_values("start").itertuples():
        print(
            f"at {now:8.2f} s: {row.start:8.2f} to {row.end:8.2f} s  {row.label}  {row.score:.2f}"
        )


if __name__ == "__main__":
    main()
