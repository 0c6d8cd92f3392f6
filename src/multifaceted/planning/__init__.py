"""From a recipe file to a plan that knows every row: `compile_plan(Path("recipe.yaml"))`."""

from multifaceted.planning.compile import Plan, compile_plan
from multifaceted.planning.pool import Shard
from multifaceted.planning.recipe import Recipe, load_recipe

__all__ = ["Plan", "Recipe", "Shard", "compile_plan", "load_recipe"]
