"""Labels that some or all rows of a table lack, in predictions and annotations to evaluate."""

import json

import pandas as pd
import pytest

from spanloc.data.annotations.scored import read_scored


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_column_of_labels_that_is_empty_is_none_and_a_label_that_some_lack_is_a_mistake(
    tmp_path, suffix
):
    def written(labels):
        rows = [{"sequence": "b"}]  # there is nothing in it
        rows += [
            {"sequence": "a", "start": i, "end": i + 1, "label": n} for i, n in enumerate(labels)
        ]
        path, table = tmp_path / f"a{suffix}", pd.DataFrame(rows)
        if suffix == ".csv":
            table.to_csv(path, index=False)
        elif suffix == ".parquet":
            table.to_parquet(path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    path = written([None, None])
    assert read_scored(path, path).classes == ["span"]
    path = written(["walk", "sit"])
    assert read_scored(path, path).classes == ["walk", "sit"]
    for labels, message in (
        (["walk", None], "1 annotation with an unknown label"),
        ([None, "walk"], "has a label, and the rows before have none"),
    ):
        path = written(labels)
        with pytest.raises(ValueError, match=message):
            read_scored(path, path)
