"""What is measured, fitted, predicted and validated. The public calls are those of the package `inferometer` itself."""
