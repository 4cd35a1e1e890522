export { default } from "./schema/index";
