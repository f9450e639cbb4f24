"""The files for TensorFlow Serving are such as it and Kubernetes read."""

from pathlib import Path

import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

FOLDER = Path(__file__).parents[2] / "export" / "deployment"


def models():
    text = (FOLDER / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    return {model.name: model.base_path for model in config.model_config_list.config}


def test_the_models_are_what_export_run_writes():
    assert models() == {"model": "/models/model"}


def test_kubernetes_mounts_what_the_arguments_name_and_asks_for_a_model():
    deployment, service = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == ports
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    probe = container["readinessProbe"]["httpGet"]
    assert probe["port"] in ports
    assert probe["path"].removeprefix("/v1/models/") in models()
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert mounted == ["/models", "/config"]
    for argument in container["args"]:
        path = argument.partition("=")[2]
        assert not path or (FOLDER / path.removeprefix("/config/")).is_file()
