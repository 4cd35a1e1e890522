// The rules that typescript-eslint recommends to everybody, with those that know the types.
import eslint from "@eslint/js";
import tseslint from "typescript-eslint";

export default tseslint.config(
  eslint.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  { languageOptions: { parserOptions: { project: "convex/tsconfig.json" } } },
  // An unused directive would hide that the module asks to be left alone.
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
);
