"""A wiring as a networkx graph and as a picture in layers, from the inputs to the motor neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import networkx
    from matplotlib.axes import Axes

    from liquid_control.circuits.wiring import Wiring

__all__ = ["draw", "graph"]

# Told apart by colour-blind readers, and by the line style in print (Okabe and Ito 2008).
STYLES = {"excitatory": ("#0072b2", "-"), "inhibitory": ("#d55e00", "--")}
LAYER_COLOURS = {
    "sensory": "#cccccc",
    "inter": "#56b4e9",
    "command": "#f0e442",
    "motor": "#009e73",
}


def graph(wiring: Wiring) -> networkx.DiGraph:
    """Neurons as nodes with the attribute `layer`, synapses as edges with `polarity` 1 or -1.

    Nodes are named sensory_0, ..., and as in `Wiring.names`.
    """
    import networkx

    sensory = [f"sensory_{index}" for index in range(wiring.inputs)]
    result = networkx.DiGraph()
    for name in (*sensory, *wiring.names):
        result.add_node(name, layer=name.rpartition("_")[0])
    for sources, matrix in ((sensory, wiring.sensory), (wiring.names, wiring.adjacency)):
        for source, target in np.argwhere(matrix):
            polarity = int(matrix[source, target])
            result.add_edge(sources[source], wiring.names[target], polarity=polarity)
    return result


def draw(wiring: Wiring, ax: Axes | None = None, labels: bool = False) -> Axes:
    """Draw the wiring in layers: sensory, inter, command and motor neurons from left to right.

    Excitatory synapses are solid and blue, inhibitory ones dashed and orange; synapses within a
    layer bend.

    Args:
        wiring: what to draw.
        ax: matplotlib axes to draw on; new ones by default.
        labels: write the neurons' names.

    Returns:
        The axes; `draw(wiring).figure.savefig("wiring.png")` writes a file.
    """
    import networkx
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    if ax is None:
        ax = Figure(figsize=(9, 6), layout="constrained").add_subplot()
    network = graph(wiring)
    layers = {
        layer: [node for node, of in network.nodes(data="layer") if of == layer]
        for layer in LAYER_COLOURS
    }
    layers = {layer: nodes for layer, nodes in layers.items() if nodes}
    positions = {
        node: (column, (row + 0.5) / len(nodes))
        for column, nodes in enumerate(layers.values())
        for row, node in enumerate(nodes)
    }
    for layer, nodes in layers.items():
        networkx.draw_networkx_nodes(
            network, positions, nodes, node_size=90, node_color=LAYER_COLOURS[layer], ax=ax
        ).set_edgecolor("black")
    for kind, (colour, line) in STYLES.items():
        sign = 1 if kind == "excitatory" else -1
        edges = [(a, b) for a, b, polarity in network.edges(data="polarity") if polarity == sign]
        within = [(a, b) for a, b in edges if positions[a][0] == positions[b][0]]
        across = [edge for edge in edges if edge not in set(within)]
        for some, bend in ((across, 0.0), (within, 0.4)):
            networkx.draw_networkx_edges(
                network,
                positions,
                some,
                edge_color=colour,
                style=line,
                alpha=0.6,
                arrowsize=6,
                node_size=90,
                connectionstyle=f"arc3,rad={bend}",
                ax=ax,
            )
    if labels:
        networkx.draw_networkx_labels(network, positions, font_size=6, ax=ax)
    for column, layer in enumerate(layers):
        ax.text(column, 1.09, f"{len(layers[layer])} {layer}", ha="center")
    ax.legend(
        handles=[Line2D([], [], color=c, linestyle=s, label=k) for k, (c, s) in STYLES.items()],
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=2,
        frameon=False,
    )
    ax.set_axis_off()
    return ax
