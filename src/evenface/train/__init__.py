"""Training: one typed recipe = one model.

Recipes need no torch; :func:`evenface.train.loop.train` needs the extra ``train``.
"""

from evenface.train.recipe import TrainRecipe, list_recipes, load_recipe

__all__ = ["TrainRecipe", "list_recipes", "load_recipe"]
