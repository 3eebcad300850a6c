"""The figures of MetaFuse (Xie, Wang and Wang, CVPR 2020), to stand beside ours: other data, another backbone."""

# Panoptic, JDR in percent of shoulder, knee, ankle and the average of all joints (table 2 and figure 6).
JDR: dict[tuple[str, int], tuple[float, float, float, float]] = {
    ("none", 0): (89.9, 79.8, 89.7, 88.9),
    ("naive", 50): (88.1, 82.3, 87.6, 85.1),
    ("paper", 50): (91.2, 85.7, 90.8, 88.9),
    ("naive", 100): (88.8, 83.7, 87.6, 86.5),
    ("paper", 100): (91.4, 86.3, 90.9, 89.5),
    ("naive", 200): (90.9, 85.1, 88.1, 88.3),
    ("paper", 200): (92.2, 86.9, 91.6, 90.6),
    ("naive", 500): (91.6, 85.8, 89.9, 90.2),
    ("paper", 500): (93.2, 88.0, 91.5, 91.2),
}
# The average alone: meta-learned NaiveFuse (figure 7).
AVERAGE_JDR = {("naive-meta", 50): 87.7, ("naive-meta", 100): 89.3} | {key: row[3] for key, row in JDR.items()}
# Panoptic, MPJPE in millimetres by the recursive pictorial model (table 3).
MPJPE_MM = {
    ("none", 0): 40.47,
    ("naive", 50): 43.39, ("naive", 100): 42.58, ("naive", 200): 35.60, ("naive", 500): 33.50,
    ("paper", 50): 37.27, ("paper", 100): 36.02, ("paper", 200): 31.78, ("paper", 500): 30.88,
}  # fmt: skip
