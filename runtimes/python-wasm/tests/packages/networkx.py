# requires: networkx==3.7
import networkx


def handler(params):
    graph = networkx.Graph()
    graph.add_weighted_edges_from([("a", "b", 1), ("b", "c", 2), ("a", "c", 5), ("c", "d", 1)])
    ordered = networkx.DiGraph([(1, 2), (2, 3), (1, 3), (3, 4)])
    return [
        networkx.shortest_path(graph, "a", "d", weight="weight"),
        networkx.dijkstra_path_length(graph, "a", "d"),
        sorted(map(sorted, networkx.minimum_spanning_edges(graph, data=False))),
        list(networkx.topological_sort(ordered)),
        networkx.degree_centrality(graph),
        networkx.maximum_flow_value(networkx.DiGraph([("s", "a", {"capacity": 3}), ("a", "t", {"capacity": 2})]), "s", "t"),
        [sorted(each) for each in networkx.connected_components(graph)],
        networkx.node_link_data(ordered),
    ]
