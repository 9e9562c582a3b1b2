"""YAML that people write: read with the line of what is wrong."""

from typing import Any

import yaml

from models.errors import InputError, quote


def load_yaml(source: str, text: str) -> Any:
    """What a YAML text says.

    Args:
        source: where the text is from, for the error message.
        text: one document.

    Raises:
        InputError: it is no YAML, or names a key twice; says in which line.
    """
    try:
        return yaml.load(text, _UniqueKeys)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{source}{place}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:  # a control character, say
        raise InputError(f"{source}: not YAML: {str(error).splitlines()[0]}") from None


class _UniqueKeys(yaml.CSafeLoader):
    """Refuses what YAML forbids and PyYAML drops in silence: the same key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key.__hash__ and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{quote(key)} is there twice", key_node.start_mark)
            if key.__hash__:
                seen.add(key)
        return super().construct_mapping(node, deep)
