"""Tools that make the documentation: formulas, generated pages and figures. No part of the package."""
