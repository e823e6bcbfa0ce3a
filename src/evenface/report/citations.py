"""Works that a report may cite, and how they are written: as text, as Markdown, as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_OTHERS = "others"
"""As BibTeX has it: authors that are not listed."""


@dataclass(frozen=True)
class Work:
    """A publication.

    Attributes:
        key: of BibTeX.
        authors: "Family, Given" each, in the publication's order.
        venue: journal, conference or institution; "" for a preprint.
        arxiv: number of the preprint.
    """

    key: str
    authors: tuple[str, ...]
    title: str
    year: int
    venue: str = ""
    kind: str = "inproceedings"
    arxiv: str = ""
    doi: str = ""
    pages: str = ""

    @property
    def text(self) -> str:
        """The entry of a list of references."""
        names = [" ".join(reversed(author.split(", "))) for author in self.authors]
        if len(names) > 6 or _OTHERS in names:
            names = [*names[:3], "et al."]
        where = self.venue + (f", pp. {self.pages}" if self.pages else "")
        parts = [", ".join(names), self.title, where, str(self.year)]
        parts += [
            f"arXiv:{self.arxiv}" if self.arxiv else "",
            f"doi:{self.doi}" if self.doi else "",
        ]
        return ". ".join(part.rstrip(".") for part in parts if part) + "."

    @property
    def bibtex(self) -> str:
        """The entry of a BibTeX file in UTF-8."""
        holder = {"article": "journal", "techreport": "institution", "book": "publisher"}
        fields = {
            "author": " and ".join(self.authors),
            "title": f"{{{self.title}}}",
            holder.get(self.kind, "booktitle"): self.venue,
            "year": str(self.year),
            "pages": self.pages.replace("–", "--"),
            "eprint": self.arxiv,
            "archiveprefix": "arXiv" if self.arxiv else "",
            "doi": self.doi,
        }
        lines = [f"  {name} = {{{_tex(of)}}}," for name, of in fields.items() if of]
        kind = self.kind if self.venue else "misc"
        return "\n".join([f"@{kind}{{{self.key},", *lines, "}"])


def _tex(text: str) -> str:
    return text.replace("&", r"\&").replace("’", "'")


def bibtex(works: Iterable[Work]) -> str:
    """A BibTeX file of some works."""
    return "\n\n".join(work.bibtex for work in works) + "\n"


_ENTRIES = (
    Work(
        "neto2024",
        ("Neto, Pedro C.", "Colakovic, Ivona", "Karakatič, Sašo", "Sequeira, Ana F."),
        "How Knowledge Distillation Mitigates the Synthetic Gap in Fair Face Recognition",
        2024,
        "European Conference on Computer Vision Workshops",
        arxiv="2408.17399",
    ),
    # Networks.
    Work(
        "he2016",
        ("He, Kaiming", "Zhang, Xiangyu", "Ren, Shaoqing", "Sun, Jian"),
        "Deep Residual Learning for Image Recognition",
        2016,
        "IEEE Conference on Computer Vision and Pattern Recognition",
        arxiv="1512.03385",
    ),
    Work(
        "chen2018mobilefacenets",
        ("Chen, Sheng", "Liu, Yang", "Gao, Xiang", "Han, Zhen"),
        "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices",
        2018,
        "Chinese Conference on Biometric Recognition",
        arxiv="1804.07573",
    ),
    Work(
        "zhong2021sface",
        (
            "Zhong, Yaoyao", "Deng, Weihong", "Hu, Jiani", "Zhao, Dongyue", "Li, Xian",
            "Wen, Dongchao",
        ),
        "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition",
        2021,
        "IEEE Transactions on Image Processing",
        kind="article",
        arxiv="2205.12010",
    ),
    Work(
        "wu2023yunet",
        ("Wu, Wei", "Peng, Hanyang", "Yu, Shiqi"),
        "YuNet: A Tiny Millisecond-level Face Detector",
        2023,
        "Machine Intelligence Research",
        kind="article",
        doi="10.1007/s11633-023-1423-y",
    ),
    # Margin losses.
    Work(
        "wang2017normface",
        ("Wang, Feng", "Xiang, Xiang", "Cheng, Jian", "Yuille, Alan L."),
        "NormFace: L2 Hypersphere Embedding for Face Verification",
        2017,
        "ACM International Conference on Multimedia",
        arxiv="1704.06369",
    ),
    Work(
        "wang2018cosface",
        (
            "Wang, Hao", "Wang, Yitong", "Zhou, Zheng", "Ji, Xing", "Gong, Dihong",
            "Zhou, Jingchao", "Li, Zhifeng", "Liu, Wei",
        ),
        "CosFace: Large Margin Cosine Loss for Deep Face Recognition",
        2018,
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        arxiv="1801.09414",
    ),
    Work(
        "deng2019arcface",
        ("Deng, Jiankang", "Guo, Jia", "Xue, Niannan", "Zafeiriou, Stefanos"),
        "ArcFace: Additive Angular Margin Loss for Deep Face Recognition",
        2019,
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        arxiv="1801.07698",
    ),
    Work(
        "boutros2022elasticface",
        ("Boutros, Fadi", "Damer, Naser", "Kirchbuchner, Florian", "Kuijper, Arjan"),
        "ElasticFace: Elastic Margin Loss for Deep Face Recognition",
        2022,
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops",
        arxiv="2109.09416",
    ),
    Work(
        "kim2022adaface",
        ("Kim, Minchul", "Jain, Anil K.", "Liu, Xiaoming"),
        "AdaFace: Quality Adaptive Margin for Face Recognition",
        2022,
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        arxiv="2204.00964",
    ),
    Work(
        "huang2020curricularface",
        (
            "Huang, Yuge", "Wang, Yuhan", "Tai, Ying", "Liu, Xiaoming", "Shen, Pengcheng",
            "Li, Shaoxin", "Li, Jilin", "Huang, Feiyue",
        ),
        "CurricularFace: Adaptive Curriculum Learning Loss for Deep Face Recognition",
        2020,
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        arxiv="2004.00288",
    ),
    Work(
        "meng2021magface",
        ("Meng, Qiang", "Zhao, Shichao", "Huang, Zhida", "Zhou, Feng"),
        "MagFace: A Universal Representation for Face Recognition and Quality Assessment",
        2021,
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        arxiv="2103.06627",
    ),
    # Distillation.
    Work(
        "huber2021maskinv",
        ("Huber, Marco", "Boutros, Fadi", "Kirchbuchner, Florian", "Damer, Naser"),
        "Mask-invariant Face Recognition through Template-level Knowledge Distillation",
        2021,
        "IEEE International Conference on Automatic Face and Gesture Recognition",
        arxiv="2112.05646",
        doi="10.1109/FG52635.2021.9667081",
    ),
    Work(
        "park2019rkd",
        ("Park, Wonpyo", "Kim, Dongju", "Lu, Yan", "Cho, Minsu"),
        "Relational Knowledge Distillation",
        2019,
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        arxiv="1904.05068",
    ),
    Work(
        "peng2019cckd",
        (
            "Peng, Baoyun", "Jin, Xiao", "Liu, Jiaheng", "Li, Dongsheng", "Wu, Yichao",
            "Liu, Yu", "Zhou, Shunfeng", "Zhang, Zhaoning",
        ),
        "Correlation Congruence for Knowledge Distillation",
        2019,
        "IEEE/CVF International Conference on Computer Vision",
        arxiv="1904.01802",
    ),
    Work(
        "tung2019sp",
        ("Tung, Frederick", "Mori, Greg"),
        "Similarity-Preserving Knowledge Distillation",
        2019,
        "IEEE/CVF International Conference on Computer Vision",
        arxiv="1907.09682",
    ),
    Work(
        "passalis2018pkt",
        ("Passalis, Nikolaos", "Tefas, Anastasios"),
        "Learning Deep Representations with Probabilistic Knowledge Transfer",
        2018,
        "European Conference on Computer Vision",
        arxiv="1803.10837",
    ),
    Work(
        "chen2018darkrank",
        ("Chen, Yuntao", "Wang, Naiyan", "Zhang, Zhaoxiang"),
        "DarkRank: Accelerating Deep Metric Learning via Cross Sample Similarities Transfer",
        2018,
        "AAAI Conference on Artificial Intelligence",
        arxiv="1707.01220",
    ),
    Work(
        "huang2022ekd",
        ("Huang, Yuge", "Wu, Jiaxiang", "Xu, Xingkun", "Ding, Shouhong"),
        "Evaluation-oriented Knowledge Distillation for Deep Face Recognition",
        2022,
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        arxiv="2206.02325",
    ),
    Work(
        "boutros2024adadistill",
        ("Boutros, Fadi", "Štruc, Vitomir", "Damer, Naser"),
        "AdaDistill: Adaptive Knowledge Distillation for Deep Face Recognition",
        2024,
        "European Conference on Computer Vision",
        arxiv="2407.01332",
    ),
    Work(
        "svitov2020margindistillation",
        ("Svitov, David", "Alyamkin, Sergey"),
        "MarginDistillation: distillation for margin-based softmax",
        2020,
        arxiv="2003.02586",
    ),
    Work(
        "shi2020proxylesskd",
        ("Shi, Weidong", "Ren, Guanghui", "Chen, Yunpeng", "Yan, Shuicheng"),
        "ProxylessKD: Direct Knowledge Distillation with Inherited Classifier for Face Recognition",
        2020,
        arxiv="2011.00265",
    ),
    Work(
        "hinton2015",
        ("Hinton, Geoffrey", "Vinyals, Oriol", "Dean, Jeff"),
        "Distilling the Knowledge in a Neural Network",
        2015,
        arxiv="1503.02531",
    ),
    Work(
        "romero2015fitnets",
        (
            "Romero, Adriana", "Ballas, Nicolas", "Kahou, Samira Ebrahimi", "Chassang, Antoine",
            "Gatta, Carlo", "Bengio, Yoshua",
        ),
        "FitNets: Hints for Thin Deep Nets",
        2015,
        "International Conference on Learning Representations",
        arxiv="1412.6550",
    ),
    Work(
        "sagawa2020",
        ("Sagawa, Shiori", "Koh, Pang Wei", "Hashimoto, Tatsunori B.", "Liang, Percy"),
        "Distributionally Robust Neural Networks for Group Shifts: On the Importance of "
        "Regularization for Worst-Case Generalization",
        2020,
        "International Conference on Learning Representations",
        arxiv="1911.08731",
    ),
    # Training.
    Work(
        "goyal2017",
        (
            "Goyal, Priya", "Dollár, Piotr", "Girshick, Ross", "Noordhuis, Pieter",
            "Wesolowski, Lukasz", "Kyrola, Aapo", "Tulloch, Andrew", "Jia, Yangqing",
            "He, Kaiming",
        ),
        "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
        2017,
        arxiv="1706.02677",
    ),
    Work(
        "loshchilov2017",
        ("Loshchilov, Ilya", "Hutter, Frank"),
        "SGDR: Stochastic Gradient Descent with Warm Restarts",
        2017,
        "International Conference on Learning Representations",
        arxiv="1608.03983",
    ),
    # Evaluation and statistics.
    Work(
        "wang2019rfw",
        ("Wang, Mei", "Deng, Weihong", "Hu, Jiani", "Tao, Xunqiang", "Huang, Yaohai"),
        "Racial Faces in the Wild: Reducing Racial Bias by Information Maximization Adaptation "
        "Network",
        2019,
        "IEEE/CVF International Conference on Computer Vision",
        arxiv="1812.00194",
    ),
    Work(
        "wang2020rlrbn",
        ("Wang, Mei", "Deng, Weihong"),
        "Mitigating Bias in Face Recognition Using Skewness-Aware Reinforcement Learning",
        2020,
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        arxiv="1911.10692",
    ),
    Work(
        "huang2007lfw",
        ("Huang, Gary B.", "Ramesh, Manu", "Berg, Tamara", "Learned-Miller, Erik"),
        "Labeled Faces in the Wild: A Database for Studying Face Recognition in Unconstrained "
        "Environments",
        2007,
        "University of Massachusetts, Amherst, Technical Report 07-49",
        kind="techreport",
    ),
    Work(
        "samaria1994orl",
        ("Samaria, Ferdinando S.", "Harter, Andy C."),
        "Parameterisation of a Stochastic Model for Human Face Identification",
        1994,
        "IEEE Workshop on Applications of Computer Vision",
    ),
    Work(
        "pereira2021fdr",
        ("de Freitas Pereira, Tiago", "Marcel, Sébastien"),
        "Fairness in Biometrics: A Figure of Merit to Assess Biometric Verification Systems",
        2021,
        "IEEE Transactions on Biometrics, Behavior, and Identity Science",
        kind="article",
        arxiv="2011.02395",
    ),
    Work(
        "howard2022garbe",
        (
            "Howard, John J.", "Laird, Eli J.", "Sirotin, Yevgeniy B.", "Rubin, Rebecca E.",
            "Tipton, Jerry L.", "Vemury, Arun R.",
        ),
        "Evaluating Proposed Fairness Models for Face Recognition Algorithms",
        2022,
        arxiv="2203.05051",
    ),
    Work(
        "bolle2004",
        ("Bolle, Ruud M.", "Ratha, Nalini K.", "Pankanti, Sharath"),
        "Error Analysis of Pattern Recognition Systems: The Subsets Bootstrap",
        2004,
        "Computer Vision and Image Understanding",
        kind="article",
    ),
    Work(
        "rao1988",
        ("Rao, J. N. K.", "Wu, C. F. J."),
        "Resampling Inference with Complex Survey Data",
        1988,
        "Journal of the American Statistical Association",
        kind="article",
        pages="231–241",
    ),
    Work(
        "hall1991",
        ("Hall, Peter", "Wilson, Susan R."),
        "Two Guidelines for Bootstrap Hypothesis Testing",
        1991,
        "Biometrics",
        kind="article",
        pages="757–762",
    ),
    Work(
        "holm1979",
        ("Holm, Sture",),
        "A Simple Sequentially Rejective Multiple Test Procedure",
        1979,
        "Scandinavian Journal of Statistics",
        kind="article",
        pages="65–70",
    ),
    Work(
        "berger1982",
        ("Berger, Roger L.",),
        "Multiparameter Hypothesis Testing and Acceptance Sampling",
        1982,
        "Technometrics",
        kind="article",
        pages="295–300",
    ),
    # Software.
    Work(
        "paszke2019pytorch",
        ("Paszke, Adam", "Gross, Sam", "Massa, Francisco", "others"),
        "PyTorch: An Imperative Style, High-Performance Deep Learning Library",
        2019,
        "Advances in Neural Information Processing Systems",
        arxiv="1912.01703",
    ),
)  # fmt: skip

WORKS: dict[str, Work] = {work.key: work for work in _ENTRIES}
"""By key. Only works whose data are certain are here."""
