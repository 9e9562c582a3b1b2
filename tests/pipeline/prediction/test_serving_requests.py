"""The requests to TensorFlow Serving in docs/serving.md, as written, against the exported signature.

A stand-in server decodes requests and encodes answers as TensorFlow Serving's protocols say, and has plain TensorFlow
answer.
"""

import base64
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictResponse
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    add_PredictionServiceServicer_to_server,
)

from tests.docs.code_blocks import ROOT, blocks


@pytest.fixture(scope="module")
def signature(runs):
    """`serving_default` of an exported model, loaded by TensorFlow alone."""
    loaded = tf.saved_model.load(str(runs / "netvlad" / "serving" / "7"))
    return lambda **inputs: loaded.signatures["serving_default"](**inputs)


@pytest.fixture
def records(frame_record, write_shard, tmp_path):
    """The shard in the requests."""
    written = [frame_record(f"{n:04d}", frames=3 + n) for n in range(3)]
    write_shard(tmp_path / "data" / "demo" / "validate0000.tfrecord", written)
    return written


@pytest.fixture
def rest_of_segments(runs):
    """Port of a server for `POST /v1/models/yt8m:predict` in the column format; a single output has no name."""
    signatures = tf.saved_model.load(str(runs / "netvlad" / "serving" / "7")).signatures

    def answer(request):
        called = signatures[request["signature_name"]]
        kinds = {name: spec.dtype for name, spec in called.structured_input_signature[1].items()}
        inputs = {name: tf.constant(value, kinds[name]) for name, value in request["inputs"].items()}
        [output] = called(**inputs).values()
        return {"outputs": output.numpy().tolist()}

    yield from serve(answer)


@pytest.fixture
def rest(signature):
    """Port of a server for `POST /v1/models/yt8m:predict` in the row format: strings that are not text as {"b64"}."""

    def answer(request):
        instances = request["instances"]
        inputs = {
            name: tf.constant([base64.b64decode(instance[name]["b64"], validate=True) for instance in instances])
            for name in instances[0]
        }
        outputs = {name: value.numpy() for name, value in signature(**inputs).items()}
        text = {name: np.char.decode(v.astype("S")) if v.dtype == object else v for name, v in outputs.items()}
        return {"predictions": [{name: v[row].tolist() for name, v in text.items()} for row in range(len(instances))]}

    yield from serve(answer)


def serve(answer):
    """Yields the port of a server that answers requests until the generator is closed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            content = answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if self.path == "/v1/models/yt8m:predict" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def rpc(signature):
    """Port of a server for PredictionService.Predict."""

    class Service(PredictionServiceServicer):
        def Predict(self, request, context):
            if request.model_spec.name != "yt8m":
                context.abort(grpc.StatusCode.NOT_FOUND, request.model_spec.name)
            outputs = signature(**{name: tf.constant(tf.make_ndarray(v)) for name, v in request.inputs.items()})
            return PredictResponse(outputs={name: tf.make_tensor_proto(value) for name, value in outputs.items()})

    server = grpc.server(ThreadPoolExecutor(1))
    add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield port
    server.stop(None)


def answers(port, here):
    """What the documented program for a port prints, run against another port."""
    printed = run_program(port, here, of_segments=False)
    return re.findall(r"name \d+", printed), list(map(float, re.findall(r"0\.\d+", printed)))


def run_program(port, here, of_segments):
    """Runs the documented program for a port against another port; what it prints."""
    programs = [block.text for block in blocks(ROOT / "docs" / "serving.md") if block.language == "python"]
    [code] = [text for text in programs if f"localhost:{port}" in text and ("segments" in text) == of_segments]
    with redirect_stdout(StringIO()) as printed:
        exec(code.replace(f"localhost:{port}", f"localhost:{here}"), {})
    return printed.getvalue()


@pytest.mark.parametrize(("server", "port"), [("rest", 8501), ("rpc", 8500)])
def test_the_documented_requests_get_the_models_predictions(
    request, signature, records, tmp_path, monkeypatch, server, port
):
    monkeypatch.chdir(tmp_path)
    names, scores = answers(port, request.getfixturevalue(server))
    expected = signature(examples=tf.constant(records[:2]))
    assert names == [name.decode() for name in expected["labels"].numpy()[:, :3].ravel()]
    assert scores == pytest.approx(expected["scores"].numpy()[:, :3].ravel().tolist(), abs=1e-6)


def test_the_documented_request_for_segments_gets_the_models_predictions(
    rest_of_segments, frame_record, write_shard, tmp_path, monkeypatch, runs
):
    record = frame_record("abcd", frames=12)
    write_shard(tmp_path / "data" / "demo" / "validate0000.tfrecord", [record])
    monkeypatch.chdir(tmp_path)
    printed = run_program(8501, rest_of_segments, of_segments=True)

    lists = tf.train.SequenceExample.FromString(record).feature_lists.feature_list
    rgb, audio = ([f.bytes_list.value[0] for f in lists[name].feature] for name in ("rgb", "audio"))
    frames = np.array([list(r + a) for r, a in zip(rgb, audio, strict=True)], np.uint8)
    called = tf.saved_model.load(str(runs / "netvlad" / "serving" / "7")).signatures["raw_tensors"]
    segments = tf.constant(np.stack([frames[:5], frames[5:10]]))
    expected = called(frames=segments, num_frames=tf.constant([5, 5]))["probabilities"].numpy().argmax(axis=1)
    assert [int(label) for label in re.findall(r"\d+", printed)] == expected.tolist()
